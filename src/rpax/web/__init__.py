"""Pages in the browser: a server for one's own computer, people who play with agents."""
