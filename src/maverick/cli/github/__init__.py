"""How GitHub reads what a program prints in a job of GitHub Actions."""
