"""Programs that call the API over HTTP. They import nothing of the app, and nothing imports them."""
