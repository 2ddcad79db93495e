"""world.py - the names and the policy that the corpora are written for"""

NAMES = ["api.hostile.test", "other.hostile.test"]
POLICY = """\
version: 1
network:
  - name: hidden
    verdict: deny
    hosts: ["*.hostile.test"]
    methods: ["*"]
    paths: [/hidden, "/hidden/**"]
  - name: api
    hosts: [api.hostile.test, other.hostile.test]
    methods: ["*"]
    schemes: [http, https]
    addresses: [127.0.0.0/8]
  - name: literals
    hosts: [169.254.169.254, 169.254.170.2, 100.100.100.200, 192.0.0.192, 168.63.129.16, "fd00:ec2::254", 10.0.0.1,
            172.16.0.1, 192.168.0.1, "fc00::1", "64:ff9b::a9fe:a9fe", "2002:7f00:1::", "2001::1", 192.0.2.1]
    methods: ["*"]
    schemes: [http, https]
"""
