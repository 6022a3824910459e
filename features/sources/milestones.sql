SELECT * FROM milestones
