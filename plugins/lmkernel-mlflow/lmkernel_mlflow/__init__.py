"""A plugin of lmkernel: training runs in MLflow."""
