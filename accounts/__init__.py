"""What an account may: log-in, rate limits, second factors, passwords, sign-up. No HTTP is known here."""
