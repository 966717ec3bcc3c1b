"""Stands in for Haraka: SMTP with STARTTLS on port 2525, and TLS files that are read again when tls.ini changes."""

import contextlib
import os
import socketserver
import ssl
import threading
import time
from pathlib import Path

TLS = Path(os.environ.get("TLS_FOLDER", "/tls"))
context: ssl.SSLContext | None = None


def keep_reading() -> None:
    """Read the pair whenever the time of tls.ini changes, as Haraka does."""
    global context
    seen = None
    while True:
        with contextlib.suppress(OSError):
            stamp = (TLS / "tls.ini").stat().st_mtime_ns
            if stamp != seen:
                fresh = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
                fresh.load_cert_chain(TLS / "tls_cert.pem", TLS / "tls_key.pem")
                context, seen = fresh, stamp
                print("mail server: read its TLS files", flush=True)
        time.sleep(0.2)


class Session(socketserver.StreamRequestHandler):
    """So much of SMTP as comes before TLS."""

    def handle(self) -> None:
        self.wfile.write(b"220 mail.demo.example ESMTP\r\n")
        for line in self.rfile:
            word = line.strip().upper()[:8]
            if word.startswith(b"EHLO"):
                offer = b"STARTTLS" if context else b"8BITMIME"
                self.wfile.write(b"250-mail.demo.example\r\n250 " + offer + b"\r\n")
            elif word == b"STARTTLS" and context:
                self.wfile.write(b"220 go ahead\r\n")
                with contextlib.suppress(OSError):
                    context.wrap_socket(self.connection, server_side=True).close()
                return
            else:
                self.wfile.write(b"221 bye\r\n")
                return


class Server(socketserver.ThreadingTCPServer):
    """Many at a time."""

    allow_reuse_address = daemon_threads = True


threading.Thread(target=keep_reading, daemon=True).start()
Server((os.environ.get("LISTEN", "127.0.0.1"), 2525), Session).serve_forever()
