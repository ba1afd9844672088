#!/bin/sh
# Install R and the R packages of DESCRIPTION from Debian (or Ubuntu): sh compat/r/install-debian.sh
# Run as root or with sudo at hand. Says what is there; changes nothing and asks no network when nothing is missing.
set -eu

folder=$(CDPATH= cd -- "$(dirname -- "$0")" && pwd)

# The Imports field, one name a line; Debian calls package Xy r-cran-xy.
imports() {
    awk '/^[A-Za-z]+:/ { inside = ($1 == "Imports:") ; sub(/^[A-Za-z]+:/, "") } inside' "$folder/DESCRIPTION" |
        tr ',' '\n' | sed 's/([^)]*)//; s/[[:space:]]//g' | grep .
}

installed_version() {
    dpkg-query -W -f='${db:Status-Abbrev} ${Version}' "$1" 2>/dev/null | sed -n 's/^ii *//p'
}

if ! command -v dpkg-query >/dev/null 2>&1; then
    echo "This is no Debian: install R (https://www.r-project.org) and in it the packages $(imports | tr '\n' ' ')" >&2
    exit 1
fi

# make: building rpy2 asks `R CMD config`, which is a makefile. In ABI mode it needs no compiler and no headers.
missing=""
for package in r-base-core make $(imports | tr '[:upper:]' '[:lower:]' | sed 's/^/r-cran-/'); do
    version=$(installed_version "$package")
    if [ -n "$version" ]; then
        echo "$package $version is installed"
    else
        echo "$package is missing"
        missing="$missing $package"
    fi
done
[ -n "$missing" ] || exit 0

as_root=""
if [ "$(id -u)" -ne 0 ]; then
    command -v sudo >/dev/null 2>&1 || { echo "Run this as root: it installs$missing" >&2; exit 1; }
    as_root="sudo"
fi
$as_root env DEBIAN_FRONTEND=noninteractive apt-get -q update
# shellcheck disable=SC2086  # one word a package
$as_root env DEBIAN_FRONTEND=noninteractive apt-get -q install -y --no-install-recommends $missing
