"""What operators have paused or limited while everything runs: phases and hosts."""
