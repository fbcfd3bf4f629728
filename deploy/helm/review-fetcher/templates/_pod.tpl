{{/* The template of a component's pods. Takes {root, component, roles, resources}. */}}
{{- define "review-fetcher.pod" -}}
{{- $root := .root -}}
{{- $values := $root.Values -}}
{{- $secrets := (include "review-fetcher.secrets" $root | fromJson).items -}}
metadata:
  labels:
    {{- include "review-fetcher.selector" $root | nindent 4 }}
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
  {{- include "review-fetcher.podBasics" $root | nindent 2 }}
  terminationGracePeriodSeconds: {{ $values.terminationGracePeriodSeconds }}
  {{- if and $values.topologySpread.enabled (ne $values.mode "single") }}
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
      ports:
        - {name: http, containerPort: 8000}
        {{- if $values.metrics.enabled }}
        - {name: metrics, containerPort: {{ $values.metrics.port }}}
        {{- end }}
      envFrom:
        - configMapRef: {name: {{ include "review-fetcher.fullname" $root }}}
      env:
        - {name: ROLES, value: {{ .roles | quote }}}
        {{- include "review-fetcher.secretsEnvironment" $secrets | trim | nindent 8 }}
        {{- with $values.extraEnv }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
      {{- include "review-fetcher.probes" . | nindent 6 }}
      {{- if $values.preStopSeconds }}
      lifecycle:
        preStop: {sleep: {seconds: {{ $values.preStopSeconds }}}}
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
