{{/* The template of a component's pods. Takes {root, component, roles, resources}; maintenance serves nothing. */}}
{{- define "review-fetcher.pod" -}}
{{- $root := .root -}}
{{- $values := $root.Values -}}
{{- $secrets := (include "review-fetcher.secrets" $root | fromJson).items -}}
{{- $serves := ne .component "maintenance" -}}
{{- $selector := ternary "review-fetcher.selector" "review-fetcher.maintenanceSelector" $serves -}}
{{- $basics := $root -}}
{{- if not $serves -}}
{{- $alone := include "review-fetcher.affinityOfOneAlone" $root | fromYaml -}}
{{- $basics = dict "Values" (merge (dict "affinity" $alone) (omit $values "affinity")) -}}
{{- end -}}
metadata:
  labels:
    {{- include $selector $root | nindent 4 }}
    app.kubernetes.io/component: {{ .component }}
    {{- include "review-fetcher.labels" $root | nindent 4 }}
    {{- with $values.podLabels }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  annotations:
    # Pods read settings and secrets at their start: new ones need new pods.
    checksum/settings: {{ toJson $values.settings | sha256sum }}
    checksum/secrets: {{ toJson (list $values.secrets $values.externalSecret) | sha256sum }}
    {{- with $values.podAnnotations }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
spec:
  serviceAccountName: {{ include "review-fetcher.serviceAccountName" $root }}
  {{- include "review-fetcher.podBasics" $basics | nindent 2 }}
  terminationGracePeriodSeconds: {{ $values.terminationGracePeriodSeconds }}
  {{- if and $serves $values.topologySpread.enabled (ne $values.mode "single") }}
  topologySpreadConstraints:
    {{- range $values.topologySpread.keys }}
    - maxSkew: 1
      topologyKey: {{ . }}
      whenUnsatisfiable: {{ $values.topologySpread.whenUnsatisfiable }}
      labelSelector:
        matchLabels:
          {{- include "review-fetcher.selector" $root | nindent 10 }}
          app.kubernetes.io/component: {{ $.component }}
      matchLabelKeys: [pod-template-hash]
    {{- end }}
  {{- end }}
  containers:
    - name: review-fetcher
      image: {{ include "review-fetcher.image" $root | quote }}
      imagePullPolicy: {{ $values.image.pullPolicy }}
      securityContext:
        {{- toYaml $values.securityContext | nindent 8 }}
      {{- if not $serves }}
      # The first process of a container gets a SIGTERM only if it waits for one: so it ends at once.
      command: [python, -c, "import signal as s; s.pthread_sigmask(s.SIG_BLOCK, [s.SIGTERM]); s.sigwait([s.SIGTERM])"]
      {{- else }}
      ports:
        - {name: http, containerPort: 8000}
        {{- if $values.metrics.enabled }}
        - {name: metrics, containerPort: {{ $values.metrics.port }}}
        {{- end }}
      {{- end }}
      envFrom:
        - configMapRef: {name: {{ include "review-fetcher.fullname" $root }}}
      env:
        - {name: ROLES, value: {{ .roles | quote }}}
        {{- include "review-fetcher.secretsEnvironment" $secrets | trim | nindent 8 }}
        {{- with $values.extraEnv }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
      {{- if $serves }}
      {{- include "review-fetcher.probes" . | nindent 6 }}
      {{- if $values.preStopSeconds }}
      lifecycle:
        preStop: {sleep: {seconds: {{ $values.preStopSeconds }}}}
      {{- end }}
      {{- end }}
      resources:
        {{- toYaml .resources | nindent 8 }}
      volumeMounts:
        - {name: secrets, mountPath: {{ include "review-fetcher.secretsFolder" . }}, readOnly: true}
        - {name: tmp, mountPath: /tmp}
        {{- if include "review-fetcher.keepsFile" $root }}
        - {name: data, mountPath: /srv/review-fetcher/data}
        {{- end }}
        {{- with $values.extraVolumeMounts }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
  volumes:
    {{- include "review-fetcher.secretsVolume" $secrets | nindent 4 }}
    - {name: tmp, emptyDir: {sizeLimit: 256Mi}}
    {{- if include "review-fetcher.keepsFile" $root }}
    {{- $claim := include "review-fetcher.claim" $root }}
    {{- if $claim }}
    - {name: data, persistentVolumeClaim: {claimName: {{ $claim }}}}
    {{- else }}
    - {name: data, emptyDir: {}}
    {{- end }}
    {{- end }}
    {{- with $values.extraVolumes }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
{{- end -}}

{{/* The affinity of the values, and no place while a pod of the release that serves or works is on any node, also one that
     is about to end. It holds the other way round too: none of these gets a place while this pod is there. Every node has
     the label kubernetes.io/os, so all of one system are one place. */}}
{{- define "review-fetcher.affinityOfOneAlone" -}}
{{- $affinity := deepCopy .Values.affinity -}}
{{- $apart := default dict $affinity.podAntiAffinity -}}
{{- $selector := dict "matchLabels" (include "review-fetcher.selector" . | fromYaml) -}}
{{- $required := default list $apart.requiredDuringSchedulingIgnoredDuringExecution -}}
{{- $required = append $required (dict "topologyKey" "kubernetes.io/os" "labelSelector" $selector) -}}
{{- $_ := set $apart "requiredDuringSchedulingIgnoredDuringExecution" $required -}}
{{- $_ := set $affinity "podAntiAffinity" $apart -}}
{{- toYaml $affinity -}}
{{- end -}}

{{/* What all pods of the release have, those of hooks too. None of them asks Kubernetes for anything. */}}
{{- define "review-fetcher.podBasics" -}}
automountServiceAccountToken: false
enableServiceLinks: false
{{- with .Values.imagePullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
securityContext:
  {{- toYaml .Values.podSecurityContext | nindent 2 }}
{{- with .Values.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- with .Values.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{/* Whether the store is a SQLite file: "true" or "". */}}
{{- define "review-fetcher.keepsFile" -}}
{{- if not (include "review-fetcher.onPostgresql" .) -}}true{{- end -}}
{{- end -}}

{{/* A start counts when the loops run and the store answers. Starting a pod anew brings no broker back, and a misfit of
     the topics ends the start by itself. What stops an upgrade at a pod that cannot reach its broker is the readiness of
     those that only work; one that answers HTTP stays reachable without: it accepts jobs, for they are rows of the store.
     A publisher that waits for a person's decision must not keep a new version out, and an alert tells of it. */}}
{{- define "review-fetcher.probes" -}}
{{- $probes := .root.Values.probes -}}
{{- $answers := eq .component (include "review-fetcher.apiComponent" .root) -}}
{{- $accepts := "/readyz?exclude=broker&exclude=topics&exclude=publisher" -}}
{{- $period := 2 -}}
startupProbe:
  httpGet: {path: {{ $accepts | quote }}, port: http}
  periodSeconds: {{ $period }}
  timeoutSeconds: 6
  failureThreshold: {{ div (add $probes.startupSeconds 1) $period }}
livenessProbe:
  # Where clients cannot take all connections: a pod that is merely full is not to be killed.
  httpGet: {path: /livez, port: {{ ternary "metrics" "http" .root.Values.metrics.enabled }}}
  {{- toYaml $probes.liveness | nindent 2 }}
readinessProbe:
  httpGet: {path: {{ ternary $accepts "/readyz?exclude=publisher" $answers | quote }}, port: http}
  {{- toYaml $probes.readiness | nindent 2 }}
{{- end -}}
