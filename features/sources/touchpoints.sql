SELECT * FROM touchpoints
