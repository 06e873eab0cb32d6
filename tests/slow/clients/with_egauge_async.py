"""The library of Home Assistant's integration: it insists on a login, on a host without port or path, and renews."""

import asyncio
import sys

import httpx
from egauge_async.json.client import EgaugeJsonClient


async def main(host: str) -> None:
    async with httpx.AsyncClient() as http:
        client = EgaugeJsonClient(host, "anybody", "anything", http, use_ssl=False)
        info = await client.get_register_info()
        assert "Grid" in info, info
        measured = await client.get_current_measurements()
        assert set(measured) == set(info), measured
        await client.auth.invalidate_token()
        assert await client.get_current_measurements()
        await client.close()
    print(f"{len(measured)} measurements")


asyncio.run(main(sys.argv[1]))
