"""The books of recurring revenue: ARR waterfall, NRR and GRR, logo churn, LTV and CAC payback."""
