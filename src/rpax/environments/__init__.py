"""The two-seat environment protocol and the games that come with the package."""
