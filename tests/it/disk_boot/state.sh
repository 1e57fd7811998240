# Reports the state of the disk at every boot.
report() { echo "$1: ${*:2}"; }
read -r machine </etc/machine-id
report machine-id "$machine"
report root-options "$(findmnt -n -o OPTIONS /)"
report var-options "$(findmnt -n -o FSTYPE,OPTIONS /var | tr -s ' ')"
report var-bytes "$(findmnt -b -n -o SIZE /var | tr -d ' ')"
