# Two groups, one of which refers to the other, by Terraform on a host that runs `sg-ctl serve`:
#
#     eval "$(sg-ctl console --key | sed -n 's/.*set aws_\(.*\) \(.*\) --profile sg/export TF_VAR_\1=\2/p')"
#     terraform init && terraform apply
#
# Elsewhere: `ssh -L 8790:127.0.0.1:8790 HOST`, and the two variables by hand. What it makes is in force
# when apply is done; `sg-ctl audit` shows who made it. docs/api.md says what works.

terraform {
  required_providers {
    aws = { source = "hashicorp/aws" }
  }
}

variable "endpoint" {
  type    = string
  default = "http://127.0.0.1:8790"
}

variable "access_key_id" { type = string }

variable "secret_access_key" {
  type      = string
  sensitive = true
}

# Interfaces of hosts that carry the groups: `aws ec2 describe-network-interfaces` lists them.
variable "interfaces" {
  type    = list(string)
  default = []
}

provider "aws" {
  region                  = "us-east-1"
  access_key              = var.access_key_id
  secret_key              = var.secret_access_key
  skip_metadata_api_check = true
  endpoints {
    ec2 = var.endpoint
    sts = var.endpoint
  }
}

resource "aws_security_group" "https" {
  name        = "our-learning-sg-https"
  description = "Allows HTTPS and HTTP from anywhere"
  tags        = { Name = "our-learning-sg-https" }

  dynamic "ingress" {
    for_each = { HTTPS = 443, HTTP = 80 }
    content {
      description = ingress.key
      protocol    = "tcp"
      from_port   = ingress.value
      to_port     = ingress.value
      cidr_blocks = ["0.0.0.0/0"]
    }
  }

  egress {
    protocol    = "-1"
    from_port   = 0
    to_port     = 0
    cidr_blocks = ["0.0.0.0/0"]
  }
}

resource "aws_ec2_managed_prefix_list" "office" {
  name           = "office"
  address_family = "IPv4"
  max_entries    = 5
  entry {
    cidr        = "198.51.100.0/24"
    description = "First floor"
  }
}

# Its rules are resources of their own: each can be changed without the others.
resource "aws_security_group" "mysql" {
  name        = "our-learning-sg-mysql"
  description = "Allows MySQL from the web servers"
  tags        = { Name = "our-learning-sg-mysql" }
}

resource "aws_vpc_security_group_ingress_rule" "mysql" {
  security_group_id            = aws_security_group.mysql.id
  referenced_security_group_id = aws_security_group.https.id
  description                  = "MySQL from the web servers"
  ip_protocol                  = "tcp"
  from_port                    = 3306
  to_port                      = 3306
}

resource "aws_vpc_security_group_ingress_rule" "ssh" {
  security_group_id = aws_security_group.mysql.id
  prefix_list_id    = aws_ec2_managed_prefix_list.office.id
  description       = "SSH from the office"
  ip_protocol       = "tcp"
  from_port         = 22
  to_port           = 22
}

resource "aws_network_interface_sg_attachment" "mysql" {
  for_each             = toset(var.interfaces)
  security_group_id    = aws_security_group.mysql.id
  network_interface_id = each.key
}
