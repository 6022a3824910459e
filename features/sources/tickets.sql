SELECT * FROM tickets
