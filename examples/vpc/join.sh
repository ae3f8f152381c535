#!/bin/sh
# Makes this host one of the VPC `prod`: certificates named after the host, three nodes of etcd.
set -eu
host=$(uname -n)
exec sg-ctl vpc join \
    --vpc prod --host "$host" \
    --etcd https://etcd-1:2379,https://etcd-2:2379,https://etcd-3:2379 \
    --ca /etc/sg/etcd-ca.pem --cert "/etc/sg/$host.pem" --key "/etc/sg/$host.key"
