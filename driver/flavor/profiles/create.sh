#!/bin/sh
# Creates a flavor profile and a flavor of the same name from each JSON file beside this script. What is there already stays as
# it is, so that it can run again; a profile whose data is another is changed as long as no flavor uses it.
#
# It needs the openstack client with an administrator's credentials in the environment. OPENSTACK names the program, PROVIDER
# the provider as octavia.conf calls it.
set -eu
cd "$(dirname "$0")"
openstack=${OPENSTACK:-openstack}
provider=${PROVIDER:-envoy}

describe() {
	case $1 in
	high-throughput) echo "Large buffers, generous bounds: many clients, large answers" ;;
	low-latency) echo "Fails fast: retries on other members, takes failing members out" ;;
	tls-offload) echo "For clients with TLS: bounds for slow clients, connections that live" ;;
	esac
}

# id_of prints the id that a list of "id name" has for a name.
id_of() {
	echo "$1" | awk -v name="$2" '{ id = $1; sub(/^[^ ]+ /, "") } $0 == name { print id; exit }'
}

profiles=$("$openstack" loadbalancer flavorprofile list --provider "$provider" --format value --column id --column name)
flavors=$("$openstack" loadbalancer flavor list --format value --column id --column name)
for file in *.json; do
	name=${file%.json}
	data=$(tr -s '[:space:]' ' ' <"$file")

	profile=$(id_of "$profiles" "$name")
	if [ -z "$profile" ]; then
		profile=$("$openstack" loadbalancer flavorprofile create --name "$name" --provider "$provider" \
			--flavor-data "$data" --format value --column id)
		echo "flavor profile $name: created"
	elif [ "$("$openstack" loadbalancer flavorprofile show "$profile" --format value --column flavor_data | tr -s '[:space:]' ' ')" = "$data" ]; then
		echo "flavor profile $name: is there"
	elif "$openstack" loadbalancer flavorprofile set "$profile" --flavor-data "$data"; then
		echo "flavor profile $name: changed"
	else
		echo "flavor profile $name: has other data than $file. Octavia changes none that a flavor uses: give the new one a new name." >&2
		exit 1
	fi

	if [ -z "$(id_of "$flavors" "$name")" ]; then
		"$openstack" loadbalancer flavor create --name "$name" --flavorprofile "$profile" \
			--description "$(describe "$name")" --enable --format value --column id >/dev/null
		echo "flavor $name: created"
	else
		echo "flavor $name: is there"
	fi
done
