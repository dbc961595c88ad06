"""The certificate: what is run for it, what becomes of each case, the verdict, what is written."""
