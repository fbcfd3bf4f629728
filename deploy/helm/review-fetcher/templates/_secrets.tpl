{{/* Where the secret settings come from, as {"items": [{variable, secret, key, origin}]}; origin: existing, external, own
or generated. One that comes from nowhere is not in it. */}}
{{- define "review-fetcher.secrets" -}}
{{- $full := include "review-fetcher.fullname" . -}}
{{- $items := list -}}
{{- range $variable, $given := .Values.secrets -}}
{{- $origin := include "review-fetcher.origin" (dict "root" $ "variable" $variable "given" $given) -}}
{{- if eq $origin "existing" -}}
{{- $items = append $items (dict "variable" $variable "secret" $given.existingSecret "key" $given.key "origin" $origin) -}}
{{- else if $origin -}}
{{- $name := ternary $full (printf "%s-%s" $full $origin) (eq $origin "own") -}}
{{- $items = append $items (dict "variable" $variable "secret" $name "key" $variable "origin" $origin) -}}
{{- end -}}
{{- end -}}
{{- dict "items" $items | toJson -}}
{{- end -}}

{{- define "review-fetcher.origin" -}}
{{- $generated := list "API_KEYS" "TOKEN_SEALING_KEYS" -}}
{{- if .given.existingSecret -}}existing
{{- else if .given.value -}}own
{{- else if and .root.Values.externalSecret.enabled (hasKey .root.Values.externalSecret.data .variable) -}}external
{{- else if and .root.Values.generateSecrets (has .variable $generated) -}}generated
{{- end -}}
{{- end -}}

{{- define "review-fetcher.originOf" -}}
{{- include "review-fetcher.origin" (dict "root" .root "variable" .variable "given" (index .root.Values.secrets .variable)) -}}
{{- end -}}

{{- define "review-fetcher.onPostgresql" -}}
{{- include "review-fetcher.originOf" (dict "root" . "variable" "DATABASE_URL") -}}
{{- end -}}

{{/* Whether a hook finds this secret before the release is changed: "true" or "". Takes {root, secret, key, origin}. */}}
{{- define "review-fetcher.isThere" -}}
{{- if ne .origin "external" -}}true
{{- else if hasKey (dig "data" dict (lookup "v1" "Secret" .root.Release.Namespace .secret)) .key -}}true
{{- end -}}
{{- end -}}

{{- define "review-fetcher.secretsFolder" -}}/run/secrets/review-fetcher{{- end -}}

{{/* Environment of a container that reads these secrets as files: an environment is seen by more than a file is. */}}
{{- define "review-fetcher.secretsEnvironment" -}}
{{- range . }}
- name: {{ .variable }}_FILE
  value: {{ include "review-fetcher.secretsFolder" $ }}/{{ .variable }}
{{- end }}
{{- end -}}

{{- define "review-fetcher.secretsVolume" -}}
- name: secrets
  projected:
    defaultMode: 0440
    sources:
      {{- range . }}
      - secret:
          name: {{ .secret }}
          items: [{key: {{ .key | quote }}, path: {{ .variable }}}]
      {{- end }}
{{- end -}}
