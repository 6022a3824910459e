SELECT * FROM fx_rates
