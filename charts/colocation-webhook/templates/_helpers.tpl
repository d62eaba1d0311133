{{- define "colocation-webhook.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" }}
{{- end }}

{{- define "colocation-webhook.fullname" -}}
{{- if .Values.fullnameOverride }}
{{- .Values.fullnameOverride | trunc 52 | trimSuffix "-" }}
{{- else if contains (include "colocation-webhook.name" .) .Release.Name }}
{{- .Release.Name | trunc 52 | trimSuffix "-" }}
{{- else }}
{{- printf "%s-%s" .Release.Name (include "colocation-webhook.name" .) | trunc 52 | trimSuffix "-" }}
{{- end }}
{{- end }}

{{- define "colocation-webhook.selectorLabels" -}}
app.kubernetes.io/name: {{ include "colocation-webhook.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "colocation-webhook.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
{{ include "colocation-webhook.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- with .Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- define "colocation-webhook.serviceAccountName" -}}
{{- if .Values.serviceAccount.create }}
{{- default (include "colocation-webhook.fullname" .) .Values.serviceAccount.name }}
{{- else }}
{{- required "serviceAccount.name: name the account to use, or set serviceAccount.create=true" .Values.serviceAccount.name }}
{{- end }}
{{- end }}

{{/* The default names differ, so that managed certificates never overwrite a Secret that a user created. */}}
{{- define "colocation-webhook.secretName" -}}
{{- $suffix := ternary "certificates" "tls" (eq .Values.certificates.source "managed") }}
{{- default (printf "%s-%s" (include "colocation-webhook.fullname" .) $suffix) .Values.certificates.secretName }}
{{- end }}

{{/* The flags of "serve" for the serving certificate. */}}
{{- define "colocation-webhook.certificateArgs" -}}
{{- $fullname := include "colocation-webhook.fullname" . }}
{{- if eq .Values.certificates.source "managed" -}}
- --manage-certificates={{ .Release.Namespace }}/{{ include "colocation-webhook.secretName" . }}
- --certificate-name={{ $fullname }}.{{ .Release.Namespace }}.svc
- --certificate-name={{ $fullname }}.{{ .Release.Namespace }}.svc.cluster.local
- --webhook-configuration={{ $fullname }}
- --certificate-settle={{ .Values.certificates.managed.settleSeconds }}
- --certificate-overlap={{ .Values.certificates.managed.overlapSeconds }}
{{- include "colocation-webhook.schedulerCAArgs" . }}
{{- else -}}
- --tls-cert=/etc/colocation-webhook/tls/tls.crt
- --tls-key=/etc/colocation-webhook/tls/tls.key
{{- end }}
{{- end }}

{{- define "colocation-webhook.clientCA" -}}
{{- include "colocation-webhook.fullname" . }}-client-ca
{{- end }}

{{- define "colocation-webhook.image" -}}
{{- $image := .Values.image -}}
{{- if $image.digest -}}
{{ $image.repository }}@{{ $image.digest }}
{{- else -}}
{{ $image.repository }}:{{ default .Chart.AppVersion $image.tag }}
{{- end -}}
{{- end }}

{{/* The flags of "serve" that control decisions, statuses and CPU sets. */}}
{{- define "colocation-webhook.settingsArgs" -}}
- --mode={{ .Values.mode }}
{{- range $rule, $action := .Values.rules }}
- --rule={{ $rule }}={{ $action }}
{{- end }}
- --pod-level-resources={{ .Values.podLevelResources }}
{{- if .Values.writeStatus }}
- --lease={{ .Release.Namespace }}/{{ include "colocation-webhook.fullname" . }}
{{- else }}
- --no-write-status
{{- end }}
{{- with .Values.cpusets }}
{{- if .enabled }}
- --cpusets
- --cpusets-lease={{ $.Release.Namespace }}/{{ include "colocation-webhook.fullname" $ }}-cpusets
- --cpusets-grace={{ .graceSeconds }}
- --cpusets-policy={{ .defaultPolicy }}
- --cpusets-strategy={{ .numaStrategy }}
- --cpusets-share-pool={{ .sharePool }}
{{- end }}
{{- end }}
{{- if and .Values.capacity.enabled .Values.webhook.sloConfig.enabled }}
- --slo-config={{ include "colocation-webhook.controllerConfig" . }}
{{- end }}
{{- end }}

{{/* The clientConfig of a webhook. Arguments: root, path. */}}
{{- define "colocation-webhook.clientConfig" -}}
{{- $root := .root -}}
{{- with $root.Values.webhook.url }}
url: {{ printf "%s%s" (trimSuffix "/" .) $.path | quote }}
{{- else }}
service:
  name: {{ include "colocation-webhook.fullname" $root }}
  namespace: {{ $root.Release.Namespace }}
  path: {{ .path }}
  port: 443
{{- end }}
{{- if eq $root.Values.certificates.source "secret" }}
caBundle: {{ b64enc $root.Values.certificates.caBundle }}
{{- end }}
{{- end }}

{{/* Never the control plane (Practice §7), never a namespace that opted out (Practice §8), never itself (Practice §23). */}}
{{- define "colocation-webhook.namespaceSelector" -}}
matchExpressions:
  - key: kubernetes.io/metadata.name
    operator: NotIn
    values: {{ concat (list "kube-system" "kube-node-lease" .Release.Namespace) .Values.webhook.excludedNamespaces | uniq | toJson }}
  - key: colocation-webhook.io/ignore
    operator: NotIn
    values: ["true"]
  {{- with .Values.webhook.namespaceSelector }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- end }}

{{/* A mirror pod must equal its static pod: the kubelet creates it again until it does. */}}
{{- define "colocation-webhook.podMatchConditions" -}}
- name: no-mirror-pod
  expression: >-
    !has(object.metadata.annotations) || !('kubernetes.io/config.mirror' in object.metadata.annotations)
{{- end }}

{{- define "colocation-webhook.webhookAnnotations" -}}
{{- $annotations := deepCopy .Values.webhook.annotations }}
{{- if eq .Values.certificates.source "certManager" }}
{{- $name := include "colocation-webhook.fullname" . }}
{{- $_ := set $annotations "cert-manager.io/inject-ca-from" (printf "%s/%s" .Release.Namespace $name) }}
{{- end }}
{{- with $annotations }}
annotations: {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{- define "colocation-webhook.schedulerName" -}}
{{- include "colocation-webhook.fullname" . }}-scheduler
{{- end }}

{{/* The ConfigMap whose ca.crt the scheduler trusts. */}}
{{- define "colocation-webhook.schedulerCA" -}}
{{- default (printf "%s-ca" (include "colocation-webhook.schedulerName" .)) .Values.scheduler.caConfigMap }}
{{- end }}

{{/* The flags of "serve" for that ConfigMap, where it is the webhook that keeps it. */}}
{{- define "colocation-webhook.schedulerCAArgs" -}}
{{- if include "colocation-webhook.keepsSchedulerCA" . }}
- --ca-configmap={{ .Release.Namespace }}/{{ include "colocation-webhook.schedulerCA" . }}
- --ca-deployment={{ include "colocation-webhook.schedulerName" . }}
{{- end }}
{{- end }}

{{/* Whether the webhook keeps the ConfigMap: as it makes the CA, unless a ConfigMap is named. */}}
{{- define "colocation-webhook.keepsSchedulerCA" -}}
{{- if and .Values.scheduler.enabled (eq .Values.certificates.source "managed") (not .Values.scheduler.caConfigMap) }}true{{ end }}
{{- end }}

{{- define "colocation-webhook.agentName" -}}
{{- include "colocation-webhook.fullname" . }}-agent
{{- end }}

{{- define "colocation-webhook.controllerName" -}}
{{- include "colocation-webhook.fullname" . }}-controller
{{- end }}

{{/* The ConfigMap with the colocation strategy: NAMESPACE/NAME. */}}
{{- define "colocation-webhook.controllerConfig" -}}
{{- default (printf "%s/slo-controller-config" .Release.Namespace) .Values.capacity.configMap }}
{{- end }}

{{- define "colocation-webhook.controllerArgs" -}}
- controller
- --in-cluster
- --config={{ include "colocation-webhook.controllerConfig" . }}
- --lease={{ .Release.Namespace }}/{{ include "colocation-webhook.controllerName" . }}
{{- end }}

{{/* A pod beside the webhook's. Arguments: root, account. */}}
{{- define "colocation-webhook.accountPod" -}}
{{- $account := .account -}}
{{- with .root -}}
serviceAccountName: {{ $account }}
automountServiceAccountToken: true
{{- with .Values.imagePullSecrets }}
imagePullSecrets: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
securityContext: {{- toYaml .Values.podSecurityContext | nindent 2 }}
{{- with .Values.affinity }}
affinity: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.nodeSelector }}
nodeSelector: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.tolerations }}
tolerations: {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}
{{- end }}

{{- define "colocation-webhook.controllerPod" -}}
{{- include "colocation-webhook.accountPod" (dict "root" . "account" (include "colocation-webhook.controllerName" .)) }}
{{- end }}
