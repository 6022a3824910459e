SELECT * FROM outcomes
