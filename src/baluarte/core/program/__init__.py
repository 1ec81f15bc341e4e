"""The sealed program: one data structure that every runtime evaluates to the same bits."""
