"""The maker's own library, without a credential."""

import sys

from egauge import webapi

meter = webapi.device.Device(sys.argv[1])
registers = meter.get("/register", params={"rate": ""})["registers"]
assert {register["name"] for register in registers} >= {"Grid", "Solar"}, registers
assert meter.reg_type("Grid") == "P"
print(f"{len(registers)} registers")
