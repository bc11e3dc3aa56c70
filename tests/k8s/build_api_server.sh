#!/bin/sh
# Builds etcd, kube-apiserver and kubectl from their Go modules into a folder: about 25 minutes of
# two cores. Then: HEADWATER_KUBERNETES_BIN=FOLDER pytest tests/k8s
set -eu
into=$(mkdir -p "$1" && cd "$1" && pwd)
work=$(mktemp -d)
trap 'chmod -R u+w "$work" && rm -rf "$work"' EXIT
kubernetes=1.37.2 etcd=v3.6.8
export GOWORK=off GOFLAGS=-mod=mod

# The module refers to its parts by folders that are not in it; they are modules of their own.
cd "$work"
source=$(go mod download -json "k8s.io/kubernetes@v$kubernetes" | sed -n 's/.*"Dir": "\(.*\)".*/\1/p')
cp -r "$source" kubernetes && chmod -R u+w kubernetes && cd kubernetes
rm -f go.work go.work.sum
sed -i -E "s#^\t(k8s.io/[a-z-]+) => ./staging/.*#\t\1 => \1 v0.${kubernetes#*.}#" go.mod
go build -trimpath -ldflags '-s -w' -o "$into/" ./cmd/kube-apiserver ./cmd/kubectl

mkdir "$work/etcd" && cd "$work/etcd"
go mod init etcd
go get "go.etcd.io/etcd/server/v3@$etcd"
cat > main.go <<'GO'
package main

import (
	"os"

	"go.etcd.io/etcd/server/v3/etcdmain"
)

func main() { etcdmain.Main(os.Args) }
GO
go mod tidy
go build -trimpath -ldflags '-s -w' -o "$into/etcd" .
