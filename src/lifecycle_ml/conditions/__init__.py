"""SQL boolean expressions over a table: parsed, checked, evaluated."""
