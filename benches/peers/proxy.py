"""A proxy as one finds it around energy gateways: a thread per caller, and requests with a session."""

from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import requests
import urllib3

urllib3.disable_warnings()
session = requests.Session()
session.headers["Authorization"] = "Bearer {TOKEN}"
session.mount("https://", requests.adapters.HTTPAdapter(pool_maxsize=64))


class Proxy(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def pass_on(self):
        length = int(self.headers.get("Content-Length") or 0)
        body = self.rfile.read(length) if length else None
        url = "https://{DEVICE}/" + self.path.removeprefix("/device/")
        answer = session.request(self.command, url, data=body, timeout=60, verify=False)
        self.send_response(answer.status_code)
        self.send_header("Content-Type", answer.headers.get("Content-Type", "text/plain"))
        self.send_header("Content-Length", str(len(answer.content)))
        self.end_headers()
        self.wfile.write(answer.content)

    do_GET = do_POST = pass_on

    def log_message(self, *arguments):
        pass


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 1024


host, port = "{LISTEN}".split(":")
Server((host, int(port)), Proxy).serve_forever()
