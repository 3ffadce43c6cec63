// Takes the place of a generated file of Pulumi's Go SDK for Kubernetes, which the provider's ConfigGroup calls.
//
// The generated one has a case for each kind, with a type of its own, and so the provider would compile the whole SDK:
// 65 packages, 30 MB of Go. The resources are registered as they are there, by the same tokens and with the same
// inputs; nothing looks at their types.
package v2

import (
	"fmt"
	"strings"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
)

// IsListKind tells whether the kind is a list of Kubernetes' own.
func IsListKind(apiVersion, kind string) bool {
	return strings.HasSuffix(kind, "List") && ours(apiVersion)
}

// RegisterResource registers an object of whatever kind.
func RegisterResource(ctx *pulumi.Context, apiVersion, kind, name string, props pulumi.Input,
	opts ...pulumi.ResourceOption) (pulumi.CustomResource, error) {
	if !strings.Contains(apiVersion, "/") {
		apiVersion = "core/" + apiVersion
	}
	var res pulumi.CustomResourceState
	if err := ctx.RegisterResource(fmt.Sprintf("kubernetes:%s:%s", apiVersion, kind), name, props, &res, opts...); err != nil {
		return nil, err
	}
	return &res, nil
}

// ours tells whether a group is one of Kubernetes itself: the core, `apps`, or `networking.k8s.io`.
func ours(apiVersion string) bool {
	group, _, named := strings.Cut(apiVersion, "/")
	return !named || !strings.Contains(group, ".") || strings.HasSuffix(group, ".k8s.io")
}
