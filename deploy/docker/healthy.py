"""Exit with 0 when the server in this container is ready. It asks directly, whatever proxy is configured."""

import http.client
import os

port = os.environ.get("PURPORT_PORT", "")
# Kubernetes sets PURPORT_PORT=tcp://... for a Service called purport; the server then takes its default, too.
connection = http.client.HTTPConnection("127.0.0.1", int(port) if port.isdigit() else 8000, timeout=2)
connection.request("GET", "/ready")
raise SystemExit(connection.getresponse().status != 200)
