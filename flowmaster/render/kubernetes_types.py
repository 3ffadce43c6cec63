"""The part of the Kubernetes API that this program writes, as typed dicts in the API's own spelling."""

from __future__ import annotations

from typing import Any, Literal, NotRequired, TypedDict

Labels = dict[str, str]


class Metadata(TypedDict):
    """Who an object is."""

    name: str
    namespace: NotRequired[str]
    labels: NotRequired[Labels]
    annotations: NotRequired[Labels]


class PodMetadata(TypedDict):
    """What a Deployment writes on its pods."""

    labels: Labels
    annotations: NotRequired[Labels]


class EnvVar(TypedDict):
    """A variable: a value, or where it comes from."""

    name: str
    value: NotRequired[str]
    valueFrom: NotRequired[dict[str, dict[str, str]]]


class NamedSource(TypedDict):
    """A reference to a whole object by name."""

    name: str


class EnvFrom(TypedDict, total=False):
    """Every key of an object as a variable."""

    configMapRef: NamedSource
    secretRef: NamedSource


class ContainerPort(TypedDict):
    """A port that a container listens on."""

    name: NotRequired[str]
    containerPort: int
    protocol: Literal["TCP"]


class ProbeBody(TypedDict):
    """A question the kubelet asks a container."""

    tcpSocket: NotRequired[dict[str, int | str]]
    httpGet: NotRequired[dict[str, str | int]]
    initialDelaySeconds: NotRequired[int]
    periodSeconds: NotRequired[int]
    timeoutSeconds: NotRequired[int]
    failureThreshold: NotRequired[int]


class ResourcesBody(TypedDict, total=False):
    """What a container is promised and held to."""

    requests: dict[str, str]
    limits: dict[str, str]


class VolumeMount(TypedDict):
    """Where a volume appears in a container."""

    name: str
    mountPath: str
    readOnly: NotRequired[bool]


class Container(TypedDict):
    """One container of a pod."""

    name: str
    image: str
    imagePullPolicy: NotRequired[str]
    command: NotRequired[list[str]]
    args: NotRequired[list[str]]
    ports: NotRequired[list[ContainerPort]]
    env: NotRequired[list[EnvVar]]
    envFrom: NotRequired[list[EnvFrom]]
    resources: NotRequired[ResourcesBody]
    volumeMounts: NotRequired[list[VolumeMount]]
    readinessProbe: NotRequired[ProbeBody]
    livenessProbe: NotRequired[ProbeBody]
    startupProbe: NotRequired[ProbeBody]
    securityContext: NotRequired[dict[str, Any]]


class PodSpec(TypedDict):
    """What runs together."""

    containers: list[Container]
    volumes: NotRequired[list[dict[str, Any]]]
    securityContext: NotRequired[dict[str, Any]]
    automountServiceAccountToken: NotRequired[bool]


class PodTemplate(TypedDict):
    """The pod that a Deployment makes."""

    metadata: PodMetadata
    spec: PodSpec


class DeploymentSpec(TypedDict):
    """How many of which pod, and how they are changed."""

    replicas: int
    selector: dict[str, Labels]
    strategy: NotRequired[dict[str, Any]]
    template: PodTemplate


class DeploymentBody(TypedDict):
    """A Deployment."""

    apiVersion: Literal["apps/v1"]
    kind: Literal["Deployment"]
    metadata: Metadata
    spec: DeploymentSpec


class ServicePortBody(TypedDict):
    """A port of a Service, and the pods' port behind it."""

    name: NotRequired[str]
    port: int
    targetPort: int | str
    protocol: Literal["TCP"]
    nodePort: NotRequired[int]


class ServiceSpec(TypedDict):
    """A fixed name and address for changing pods, or for a host elsewhere."""

    type: Literal["ClusterIP", "NodePort", "ExternalName"]
    selector: NotRequired[Labels]
    ports: NotRequired[list[ServicePortBody]]
    clusterIP: NotRequired[str]
    externalName: NotRequired[str]


class ServiceBody(TypedDict):
    """A Service."""

    apiVersion: Literal["v1"]
    kind: Literal["Service"]
    metadata: Metadata
    spec: ServiceSpec


class NamespaceBody(TypedDict):
    """A Namespace."""

    apiVersion: Literal["v1"]
    kind: Literal["Namespace"]
    metadata: Metadata


class ConfigMapBody(TypedDict):
    """A ConfigMap."""

    apiVersion: Literal["v1"]
    kind: Literal["ConfigMap"]
    metadata: Metadata
    data: NotRequired[dict[str, str]]
    binaryData: NotRequired[dict[str, str]]
    immutable: NotRequired[bool]


class SecretBody(TypedDict):
    """A Secret; its data is base64, as the API server stores it."""

    apiVersion: Literal["v1"]
    kind: Literal["Secret"]
    metadata: Metadata
    type: str
    data: NotRequired[dict[str, str]]
    immutable: NotRequired[bool]


Manifest = NamespaceBody | ConfigMapBody | SecretBody | ServiceBody | DeploymentBody
