terraform {
  required_providers { aws = { source = "hashicorp/aws" } }
}

variable "endpoint" { type = string }
variable "eni" { type = string }
variable "ports" { type = number }
variable "changed" { type = bool }

provider "aws" {
  region                  = "us-east-1"
  access_key              = "AKIDEXAMPLEEXAMPLE00"
  secret_key              = "example-secret"
  skip_metadata_api_check = true
  endpoints {
    ec2 = var.endpoint
    sts = var.endpoint
  }
  default_tags { tags = { made = "terraform" } }
}

data "aws_vpc" "here" { default = true }

# Rules inline.
resource "aws_security_group" "inline" {
  name        = "tf-inline"
  description = "rules inline"
  vpc_id      = data.aws_vpc.here.id
  tags        = { Name = var.changed ? "changed" : "first" }
  ingress {
    description = "https"
    from_port   = 443
    to_port     = 443
    protocol    = "tcp"
    cidr_blocks = var.changed ? ["10.0.0.0/8"] : ["10.0.0.0/8", "192.0.2.0/24"]
  }
  ingress {
    from_port = 0
    to_port   = 0
    protocol  = "-1"
    self      = true
  }
  ingress {
    from_port        = 8
    to_port          = 0
    protocol         = "icmp"
    cidr_blocks      = ["0.0.0.0/0"]
  }
  egress {
    from_port        = 0
    to_port          = 0
    protocol         = "-1"
    cidr_blocks      = ["0.0.0.0/0"]
    ipv6_cidr_blocks = ["::/0"]
  }
}

# Rules apart, one resource each: of the older and of the newer kind.
resource "aws_security_group" "apart" {
  name        = "tf-apart"
  description = "rules apart"
}

resource "aws_security_group_rule" "older" {
  type                     = "ingress"
  security_group_id        = aws_security_group.apart.id
  source_security_group_id = aws_security_group.inline.id
  from_port                = 3306
  to_port                  = 3306
  protocol                 = "tcp"
  description              = var.changed ? "mysql, changed" : "mysql"
}

resource "aws_security_group" "many" {
  name        = "tf-many"
  description = "fifty rules"
}

resource "aws_vpc_security_group_ingress_rule" "many" {
  for_each          = toset([for n in range(var.ports) : tostring(8000 + n)])
  security_group_id = aws_security_group.many.id
  cidr_ipv4         = "10.0.0.0/8"
  from_port         = each.key
  to_port           = each.key
  ip_protocol       = "tcp"
  description       = var.changed ? "changed" : null
}

resource "aws_vpc_security_group_egress_rule" "all" {
  security_group_id = aws_security_group.many.id
  cidr_ipv4         = "0.0.0.0/0"
  ip_protocol       = "-1"
  tags              = { why = "everything" }
}

resource "aws_ec2_managed_prefix_list" "office" {
  name           = "tf-office"
  address_family = "IPv4"
  max_entries    = var.changed ? 6 : 5
  entry {
    cidr        = "198.51.100.0/24"
    description = "first floor"
  }
  dynamic "entry" {
    for_each = var.changed ? ["203.0.113.0/24"] : []
    content { cidr = entry.value }
  }
}

resource "aws_ec2_managed_prefix_list" "apart" {
  name           = "tf-lists-apart"
  address_family = "IPv6"
  max_entries    = 3
}

resource "aws_ec2_managed_prefix_list_entry" "one" {
  prefix_list_id = aws_ec2_managed_prefix_list.apart.id
  cidr           = "2001:db8::/32"
}

resource "aws_vpc_security_group_ingress_rule" "office" {
  security_group_id = aws_security_group.many.id
  prefix_list_id    = aws_ec2_managed_prefix_list.office.id
  from_port         = 22
  to_port           = 22
  ip_protocol       = "tcp"
}

resource "aws_network_interface_sg_attachment" "here" {
  security_group_id    = aws_security_group.inline.id
  network_interface_id = var.eni
}

data "aws_security_group" "read" {
  depends_on = [aws_security_group.inline]
  name       = "tf-inline"
}

output "found" { value = data.aws_security_group.read.id == aws_security_group.inline.id }
