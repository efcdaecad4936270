# Sourced by the recipes: `calico_manifest` prints Calico's manifest, after its checksum is found right.
# CALICO_VERSION and CALICO_SHA256 choose another one.
calico_version=${CALICO_VERSION:-v3.32.1}
calico_sha256=${CALICO_SHA256:-}
if [ -z "$calico_sha256" ] && [ "$calico_version" = v3.32.1 ]; then
    calico_sha256=c2ab4f9a4ecde01d66e6f040d6745cd7f174d5ded573164c809ffb9f40a9d566
fi
calico_address=https://raw.githubusercontent.com/projectcalico/calico/$calico_version/manifests/calico-vxlan.yaml

calico_manifest() {
    manifest=$(mktemp)
    curl --fail --silent --show-error --location --proto =https --output "$manifest" "$calico_address"
    found=$(sha256sum <"$manifest")
    found=${found%% *}
    if [ "$found" != "$calico_sha256" ]; then
        echo "$calico_address has the SHA-256 checksum $found, and ${calico_sha256:-none} is expected: compare the file" \
            "with the release, and if it is the right one, set CALICO_SHA256=$found" >&2
        rm -f "$manifest"
        return 2
    fi
    cat "$manifest"
    rm -f "$manifest"
}
