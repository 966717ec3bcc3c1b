# shellcheck shell=bash
# Sourced after steps.bash by what works on the engine: builds what is needed and exports its names.
# CONTRIBUTING.md lists these variables.

images=$(scripts/images)
for image in $images; do
    agent=${image##*/}
    export "SIDECARS_IMAGE_${agent^^}=$image"
done
SIDECARS_BUSYBOX_IMAGE=$(scripts/busybox-image)
SIDECARS_BASE_IMAGE=$(scripts/base-image)
export SIDECARS_BUSYBOX_IMAGE SIDECARS_BASE_IMAGE
