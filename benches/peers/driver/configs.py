"""The servers' configurations, each with the settings that are best for it. What they record of a scan is the same:
time, host, path, status, method, address, User-Agent, language, referrer, version, purpose."""
from driver.scan import code, destination

CODES = "codes.map"


def edge(server, bench, prefix):
    return f"""
[node]
id = "bench"
data_dir = "{server.data}"
[edge]
listen = ["127.0.0.1:{server.ports['plain']}"]
tls_listen = ["127.0.0.1:{server.ports['tls']}"]
tls_certificates = "{bench.folder}/certificates"
idle_timeout = 600
[metrics]
listen = "127.0.0.1:{server.ports['metrics']}"
[kafka]
brokers = ["{bench.brokers}"]
prefix = "{prefix}"
[scan_log]
hot = "{server.hot}"
max_bytes = 1073741824
[drain]
timeout = 60
[log]
format = "text"
"""


def nginx(server, bench):
    """One worker, log lines written 64 KiB at a time into memory, connections never closed for their number of requests. It adds
    Cache-Control, as the edge does: a cached redirect is not counted. TLS 1.3 with X25519 and one ticket, or none, a connection."""
    fields = '$msec $host $uri $status $request_method $remote_addr "$http_user_agent" "$http_accept_language" "$http_referer" $server_protocol "$http_sec_purpose"'
    redirect = """
    server_name qr.example.com;
    location /q/ {
      if ($to = "") { return 404; }
      add_header Cache-Control no-store;
      return 302 $to;
    }"""
    def secure(port, listen, command="NumTickets 1"):
        return f"""
  server {{
    listen 127.0.0.1:{server.ports[port]} ssl backlog=4096 {listen};
    ssl_certificate {bench.folder}/certificate.pem;
    ssl_certificate_key {bench.folder}/key.pem;
    ssl_protocols TLSv1.3;
    ssl_ecdh_curve X25519;
    ssl_session_cache off;
    ssl_buffer_size 4k;
    ssl_conf_command {command};{redirect}
  }}"""
    return f"""
daemon off;
worker_processes 1;
pid {bench.folder}/nginx.pid;
error_log stderr warn;
events {{ worker_connections 16384; multi_accept on; use epoll; }}
http {{
  log_format scans '{fields}';
  access_log {server.access_log} scans buffer=64k flush=1s;
  map_hash_max_size 4194304;
  map_hash_bucket_size 128;
  map $uri $to {{ include {server.codes}; }}
  keepalive_requests 1000000000;
  keepalive_timeout 600;
  server_tokens off;
  tcp_nodelay on;
  server {{
    listen 127.0.0.1:{server.ports['plain']} backlog=4096;
    listen 127.0.0.1:{server.ports['deferred']} backlog=4096 deferred;{redirect}
  }}{secure('tls', '')}{secure('new_tls', 'deferred')}{secure('new_tls_no_tickets', 'deferred', 'NumTickets 0')}{secure('h2', 'http2')}
}}
"""


def codes_for_nginx(tags, write):
    for number in range(tags):
        write(f"/q/{code(number)} {destination(number)};\n")


def codes_for_haproxy(tags, write):
    for number in range(tags):
        write(f"/q/{code(number)} {destination(number)}\n")


def haproxy(server, bench):
    """One thread; log lines go through a ring in its memory to a collector on the client's core, which is its cheapest way."""
    return f"""
global
  nbthread 1
  maxconn 8192
  log ring@scans len 1024 format raw local0
defaults
  mode http
  log global
  timeout client 600s
  timeout http-request 10s
  timeout connect 5s
  timeout server 10s
ring scans
  format raw
  maxlen 1024
  size 67108864
  timeout connect 5s
  timeout server 10s
  server collector 127.0.0.1:{server.ports['log']}
frontend scans
  bind 127.0.0.1:{server.ports['plain']} backlog 4096
  bind 127.0.0.1:{server.ports['deferred']} backlog 4096 defer-accept
  http-request capture req.hdr(user-agent) len 256
  http-request capture req.hdr(accept-language) len 64
  http-request capture req.hdr(referer) len 256
  http-request capture req.hdr(sec-purpose) len 32
  http-request capture req.hdr(host) len 64
  log-format "%Ts.%ms %HP %ST %HM %ci %hr %HV"
  http-request set-var(txn.to) path,map_str({bench.folder}/haproxy.map)
  http-request return status 404 unless {{ var(txn.to) -m found }}
  http-request return status 302 hdr Location %[var(txn.to)] hdr Cache-Control no-store
"""


def caddy(server):
    """Its `map` looks through all entries for each request, so a million codes are beyond it: it computes the destination from the
    path, which is less work than the others do."""
    return f"""
{{
  admin off
  auto_https off
}}
http://:{server.ports['plain']} {{
  bind 127.0.0.1
  log {{
    output file {server.access_log} {{
      roll_disabled
    }}
  }}
  header Cache-Control no-store
  @code path_regexp code ^/q/c([0-9]{{7}})$
  redir @code https://www.example.com/campaigns/landing/{{re.code.1}}?utm_source=qr&utm_medium=print 302
  respond 404
}}
"""
