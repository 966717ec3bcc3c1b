"""Run by an environment that has acme2certifier: an ACME server on loopback. Arguments: port, certificate, key.

Not imported by any test: it is a program of its own, configured by ACME_SRV_CONFIGFILE.
"""

import ssl
import sys
from collections.abc import Iterable
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, make_server

from acme2certifier.share.acme2certifier_wsgi import application


class Quiet(WSGIRequestHandler):
    def log_message(self, *_: object) -> None:
        """Say nothing."""


def over_tls(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    """Answer with https addresses: the server does not know that its socket is wrapped."""
    environ["wsgi.url_scheme"] = "https"
    answer: Iterable[bytes] = application(environ, start_response)
    return answer


port, certificate, key = sys.argv[1:]
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(certificate, key)
with make_server("127.0.0.1", int(port), over_tls, handler_class=Quiet) as server:
    server.socket = context.wrap_socket(server.socket, server_side=True)
    server.serve_forever()
