# SPDX-License-Identifier: Apache-2.0
"""nginx as the limit: one worker that reads a request and answers 202, and does nothing else."""
from lib.process import Process
from lib.waiting import free_port, listens, wait_for

CONFIGURATION = """\
daemon off;
master_process off;
pid {folder}/nginx.pid;
error_log {folder}/nginx.log;
events {{ worker_connections 4096; }}
http {{
    access_log off;
    keepalive_requests 1000000000;
    client_body_temp_path {folder};
    proxy_temp_path {folder};
    fastcgi_temp_path {folder};
    uwsgi_temp_path {folder};
    scgi_temp_path {folder};
    server {{
        listen 127.0.0.1:{port};
        listen 127.0.0.1:{tls_port} ssl;
        ssl_certificate {certificate};
        ssl_certificate_key {key};
        location / {{ return 202; }}
    }}
}}
"""


class Nginx(Process):
    def __init__(self, folder, certificate, key):
        self.port, self.tls_port = free_port(), free_port()
        folder.mkdir()
        configuration = folder / "nginx.conf"
        configuration.write_text(CONFIGURATION.format(
            folder=folder, port=self.port, tls_port=self.tls_port, certificate=certificate,
            key=key))
        super().__init__("nginx", ["/usr/sbin/nginx", "-p", folder, "-c", configuration],
                         folder / "output.log")
        wait_for(lambda: listens(self.port), 10, f"nginx listens: {self.log_text()}")
