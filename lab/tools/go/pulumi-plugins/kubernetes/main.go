// The Pulumi provider for Kubernetes, for machines that cannot download it.
//
// The official main embeds two files that its own build generates and its
// module does not carry. Here the build puts them beside this file: the schema
// as the module has it plus the version, and the Terraform mapping.
package main

import (
	_ "embed"

	"github.com/pulumi/pulumi-kubernetes/provider/v4/pkg/provider"
	"github.com/pulumi/pulumi-kubernetes/provider/v4/pkg/version"
)

//go:embed schema.json
var schema []byte

//go:embed terraform-mapping.json
var terraformMapping []byte

func main() {
	provider.Serve("kubernetes", version.Version, schema, terraformMapping)
}
