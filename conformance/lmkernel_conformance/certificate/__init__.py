"""The certificate: its run, the state of each case, the verdict, and the files written of it."""
