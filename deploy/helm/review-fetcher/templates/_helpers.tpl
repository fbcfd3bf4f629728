{{- define "review-fetcher.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 40 | trimSuffix "-" -}}
{{- end -}}

{{/* The beginning of every name. Short enough for "-metrics", a role and the number of a pod behind it. */}}
{{- define "review-fetcher.fullname" -}}
{{- $name := include "review-fetcher.name" . -}}
{{- $full := ternary .Release.Name (printf "%s-%s" .Release.Name $name) (contains $name .Release.Name) -}}
{{- default $full .Values.fullnameOverride | trunc 45 | trimSuffix "-" -}}
{{- end -}}

{{- define "review-fetcher.selector" -}}
app.kubernetes.io/name: {{ include "review-fetcher.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{/* Of the pod that waits for commands. Not the name of the other pods: no Service may take it for a replica. */}}
{{- define "review-fetcher.maintenanceSelector" -}}
app.kubernetes.io/name: {{ include "review-fetcher.name" . }}-maintenance
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "review-fetcher.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
app.kubernetes.io/part-of: {{ include "review-fetcher.name" . }}
{{- with .Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "review-fetcher.metadata" -}}
namespace: {{ .Release.Namespace }}
labels:
  {{- include "review-fetcher.selector" . | nindent 2 }}
  {{- include "review-fetcher.labels" . | nindent 2 }}
{{- end -}}

{{/* A digest names one image for ever, a tag may move. */}}
{{- define "review-fetcher.image" -}}
{{- $image := .Values.image -}}
{{- if $image.digest -}}
{{- printf "%s@%s" $image.repository $image.digest -}}
{{- else -}}
{{- printf "%s:%s" $image.repository (default .Chart.AppVersion $image.tag) -}}
{{- end -}}
{{- end -}}

{{- define "review-fetcher.serviceAccountName" -}}
{{- if .Values.serviceAccount.create -}}
{{- default (include "review-fetcher.fullname" .) .Values.serviceAccount.name -}}
{{- else -}}
{{- default "default" .Values.serviceAccount.name -}}
{{- end -}}
{{- end -}}

{{- define "review-fetcher.allRoles" -}}api,scheduler,accounts,locations,reviews,publisher{{- end -}}

{{/* What runs, as {"items": [{component, roles, replicas, resources}]}. */}}
{{- define "review-fetcher.components" -}}
{{- $all := splitList "," (include "review-fetcher.allRoles" .) -}}
{{- $items := list -}}
{{- if eq .Values.mode "roles" -}}
{{- range $role := $all -}}
{{- $chosen := index $.Values.roles $role -}}
{{- $resources := default $.Values.resources $chosen.resources -}}
{{- $items = append $items (dict "component" $role "roles" $role "replicas" $chosen.replicas "resources" $resources) -}}
{{- end -}}
{{- else -}}
{{- $count := ternary 1 .Values.replicas (eq .Values.mode "single") -}}
{{- $items = append $items (dict "component" "all" "roles" (join "," $all) "replicas" $count "resources" .Values.resources) -}}
{{- end -}}
{{- dict "items" $items | toJson -}}
{{- end -}}

{{/* The claim of the volume that keeps the SQLite file, or "" where nothing is kept. */}}
{{- define "review-fetcher.claim" -}}
{{- if and (include "review-fetcher.keepsFile" .) .Values.persistence.enabled -}}
{{- default (printf "%s-data" (include "review-fetcher.fullname" .)) .Values.persistence.existingClaim -}}
{{- end -}}
{{- end -}}

{{- define "review-fetcher.workloadName" -}}
{{- if eq .component "all" -}}
{{- include "review-fetcher.fullname" .root -}}
{{- else -}}
{{- printf "%s-%s" (include "review-fetcher.fullname" .root) .component -}}
{{- end -}}
{{- end -}}

{{/* The component that answers HTTP, and the one that fetches reviews. */}}
{{- define "review-fetcher.apiComponent" -}}
{{- ternary "api" "all" (eq .Values.mode "roles") -}}
{{- end -}}
{{- define "review-fetcher.reviewsComponent" -}}
{{- ternary "reviews" "all" (eq .Values.mode "roles") -}}
{{- end -}}

{{/* Whether something else decides how many pods a component has: "true" or "". */}}
{{- define "review-fetcher.isScaled" -}}
{{- $root := .root -}}
{{- if and $root.Values.autoscaling.enabled (eq .component (include "review-fetcher.apiComponent" $root)) -}}true
{{- else if and $root.Values.keda.enabled (eq .component (include "review-fetcher.reviewsComponent" $root)) -}}true
{{- end -}}
{{- end -}}

{{/* The least pods that the scaler of a component keeps. */}}
{{- define "review-fetcher.leastPods" -}}
{{- $root := .root -}}
{{- $ofApi := and $root.Values.autoscaling.enabled (eq .component (include "review-fetcher.apiComponent" $root)) -}}
{{- ternary $root.Values.autoscaling.minReplicas $root.Values.keda.minReplicas $ofApi -}}
{{- end -}}

{{/* YAML's numbers arrive as floating point: 1000000 must not become 1e+06. */}}
{{- define "review-fetcher.text" -}}
{{- if kindIs "float64" . -}}
{{- if eq . (floor .) -}}{{ int64 . }}{{- else -}}{{ . }}{{- end -}}
{{- else -}}{{ . }}{{- end -}}
{{- end -}}
