"""What every layer may use and what knows none of them."""
