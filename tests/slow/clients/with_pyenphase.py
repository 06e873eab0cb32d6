"""Home Assistant's library: all that its integration asks, from the first meeting on. It wants https and takes a path."""

import asyncio
import base64
import json
import sys
import time

from pyenphase import Envoy


def token(serial: str) -> str:
    """A token of the kind that a person would copy from the cloud; what is in it never reaches the gateway."""
    claims = {"aud": serial, "exp": int(time.time()) + 86400, "iat": int(time.time()), "enphaseUser": "owner"}
    parts = [{"alg": "none"}, claims]
    encoded = [base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode() for part in parts]
    return ".".join([*encoded, "c2lnbmF0dXJl"])


async def main(host: str, serial: str) -> None:
    envoy = Envoy(host)
    await envoy.setup()
    assert envoy.serial_number == serial, envoy.serial_number
    await envoy.authenticate(token=token(serial))
    for _ in range(2):
        data = await envoy.update()
    assert data.system_production is not None, "no production"
    assert isinstance(data.system_production.watts_now, int)
    assert data.inverters, "no inverters"
    await envoy.close()
    print(f"firmware {envoy.firmware}, {data.system_production.watts_now} W, {len(data.inverters)} inverters")


asyncio.run(main(*sys.argv[1:]))
