SELECT * FROM signals
