"""What the API server demands of volumes, and of claims that are made with a pod."""

from typing import Final

from webhook.admission.profiles.demands.flaw import Flaw, Found, Object, one_of, present, repeated, texts
from webhook.admission.profiles.demands.forms import is_subdomain
from webhook.pods.pod import mapping, mappings
from webhook.pods.quantities import QuantityError, parse, text_of
from webhook.pods.text import shown

_MAX_TENANT: Final = 64
_MAX_LUN: Final = 255
_MAX_NAMES: Final = 64  # bytes of a volume's name, a colon and an iSCSI portal
_MAX_NAME: Final = 253
_OWN_DOMAINS: Final = (".kubernetes.io", ".k8s.io")
_one_source = one_of()


def volume(volume: Object) -> Found:
    """Yield two sources, and a name that is too long for iSCSI."""
    yield from _one_source(volume)
    iscsi = mapping(volume.get("iscsi"))
    names = f"{volume.get('name')}:{iscsi.get('targetPortal')}"
    if iscsi.get("initiatorName") is not None and len(names.encode()) > _MAX_NAMES:
        yield Flaw(
            "names",
            f"sets name and targetPortal of more than {_MAX_NAMES - 1} characters: write shorter ones",
        )


def claims_of_pod(pod: Object) -> Found:
    """Yield claims that are made with the pod, with names that are too long or that another volume uses."""
    name = mapping(pod.get("metadata")).get("name")
    volumes = present(mapping(pod.get("spec")).get("volumes"))
    made = (
        {f"{name}-{each.get('name')}" for each in volumes if each.get("ephemeral") is not None}
        if name
        else set()
    )
    used = {str(mapping(each.get("persistentVolumeClaim")).get("claimName")) for each in volumes}
    for claim in sorted(made):
        if len(claim) > _MAX_NAME:
            yield Flaw(
                claim, f"makes a claim of a name of more than {_MAX_NAME} characters", ("spec/volumes",)
            )
        elif claim in used:
            problem = f"uses the claim {shown(claim)}, which another volume of the pod makes: name another"
            yield Flaw(claim, problem, ("spec/volumes",))


def projected(volume: Object) -> Found:
    """Yield files that are projected onto one path."""
    paths: list[str] = []
    for source in mappings(volume.get("sources")):
        for kind in ("secret", "configMap", "downwardAPI"):
            items = mappings(mapping(source.get(kind)).get("items"))
            paths += [str(each["path"]) for each in items if each.get("path")]
        if path := mapping(source.get("clusterTrustBundle")).get("path"):
            paths.append(str(path))
    for path in repeated(paths):
        yield Flaw(f"path {path}", f"projects two files onto the path {shown(path)}: give each its own")


def claim(spec: Object) -> Found:
    """Yield access modes, sizes and sources that no claim may have."""
    modes = texts(spec.get("accessModes"))
    if "ReadWriteOncePod" in modes and set(modes) != {"ReadWriteOncePod"}:
        yield Flaw("modes", "sets ReadWriteOncePod and other accessModes, which exclude each other")
    storage = mapping(mapping(spec.get("resources")).get("requests")).get("storage")
    try:
        enough = storage is not None and parse(text_of(storage)) > 0
    except QuantityError:
        enough = True  # the check of types says so
    if not enough:
        yield Flaw("storage", "leaves resources.requests without storage, or with none: set it")
    source, reference = (spec.get(field) for field in ("dataSource", "dataSourceRef"))
    if source is not None and reference is not None:
        same = ("apiGroup", "kind", "name")
        if [mapping(source).get(field) for field in same] != [
            mapping(reference).get(field) for field in same
        ]:
            yield Flaw("sources", "sets dataSource and dataSourceRef to two objects: set one of them")


def claim_template(template: Object) -> Found:
    """Yield metadata that only an object of its own may have."""
    for field, value in mapping(template.get("metadata")).items():
        if (
            field not in ("annotations", "labels")
            and value not in (None, "", 0, [])
            and not field.startswith("$")
        ):
            yield Flaw(
                field, f"sets {field} of a claim that is made with the pod: set labels and annotations only"
            )


def data_source(reference: Object) -> Found:
    """Yield kinds that need their API group."""
    kind = reference.get("kind")
    if not reference.get("apiGroup") and kind not in (None, "", "PersistentVolumeClaim"):
        yield Flaw("kind", f"names the kind {shown(kind)} without its apiGroup: set it")


def iscsi(source: Object) -> Found:
    """Yield CHAP without its secret."""
    if (source.get("chapAuthDiscovery") or source.get("chapAuthSession")) and source.get("secretRef") is None:
        yield Flaw("secret", "leaves CHAP without secretRef: set it")


def fibre_channel(source: Object) -> Found:
    """Yield what does not identify one disk."""
    given = [field for field in ("targetWWNs", "wwids") if source.get(field)]
    if len(given) != 1:
        yield Flaw("names", "leaves both of targetWWNs and wwids, or none: set one")
    lun = source.get("lun")
    if source.get("targetWWNs") and not (isinstance(lun, int) and 0 <= lun <= _MAX_LUN):
        yield Flaw("lun", f"leaves targetWWNs with the lun {shown(lun)}: set one from 0 to {_MAX_LUN}")


def flocker(source: Object) -> Found:
    """Yield a dataset that is named twice, not at all, or by a path."""
    yield from one_of("datasetName", "datasetUUID", needed=True)(source)
    if "/" in str(source.get("datasetName") or ""):
        yield Flaw("name", f"sets the datasetName {shown(source['datasetName'])}: write it without /")


def quobyte(source: Object) -> Found:
    """Yield a tenant that is too long."""
    if len(str(source.get("tenant") or "").encode()) > _MAX_TENANT:
        yield Flaw("tenant", f"sets a tenant of more than {_MAX_TENANT} characters")


def azure_disk(source: Object) -> Found:
    """Yield a disk whose address is of another kind."""
    begins = "/subscriptions/" if source.get("kind") == "Managed" else "https://"
    uri = source.get("diskURI")
    if uri and not str(uri).startswith(begins):
        kind = source.get("kind") or "Shared"
        yield Flaw(
            "uri", f"leaves the diskURI {shown(uri)} of kind {shown(kind)}, which begins with {begins}"
        )


def flex_volume(source: Object) -> Found:
    """Yield options of domains that are Kubernetes' own."""
    for key in mapping(source.get("options")):
        domain = key.partition("/")[0]
        if f".{domain.lower()}".endswith(_OWN_DOMAINS):
            yield Flaw(
                f"option {key}", f"sets the option {shown(key)}, whose domain is Kubernetes' own: set others"
            )


def named_secret(source: Object) -> Found:
    """Yield a reference to a secret without its name."""
    secret = source.get("secretRef")
    if secret is not None and not mapping(secret).get("name"):
        yield Flaw("secret", "leaves secretRef without name: set it")


def csi(source: Object) -> Found:
    """Yield a reference to a secret that names none."""
    secret = source.get("nodePublishSecretRef")
    if secret is not None and not is_subdomain(mapping(secret).get("name") or ""):
        yield Flaw("secret", "leaves nodePublishSecretRef without the name of a secret: set it")
