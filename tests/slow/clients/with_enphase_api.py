"""A client that insists on logging in with a token, and compares the gateway's word to the letter."""

import sys

from enphase_api.local.gateway import Gateway

gateway = Gateway(sys.argv[1])
assert gateway.login("header.claims.signature"), "not logged in"
production = gateway.api_call("/production.json")
assert production["production"], production
print(f"{len(production['production'])} kinds of production")
