SELECT * FROM usage_events
