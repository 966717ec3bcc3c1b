"""Stands in for mail clients: shakes hands over and over, and says when the certificate changes."""

import os
import smtplib
import ssl
import time

from cryptography import x509

SERVER = os.environ.get("SERVER", "127.0.0.1")
served, handshakes, failed = 0, 0, 0
context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
while True:
    try:
        with smtplib.SMTP(SERVER, 2525, "client.demo.example", timeout=5) as client:
            client.starttls(context=context)
            der = client.sock.getpeercert(binary_form=True)  # type: ignore[union-attr]
            client.close()
        handshakes += 1
        serial = x509.load_der_x509_certificate(der or b"").serial_number
        if serial != served:
            served = serial
            print(f"clients: now served serial {serial:X}; {handshakes} handshakes so far, {failed} failed", flush=True)
        elif handshakes % 100 == 0:
            print(f"clients: {handshakes} handshakes so far, {failed} failed", flush=True)
    except (OSError, smtplib.SMTPException) as error:
        failed += bool(served)  # before the first certificate there is nothing to fail
        if served:
            print(f"clients: FAILED {error!r}", flush=True)
    time.sleep(0.05)
