"""What a training run would hold and send on each device, and what bounds its steps."""
