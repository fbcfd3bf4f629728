{{/* What no schema can say: values that do not go together. Each sentence says what to do. */}}
{{- define "review-fetcher.checks" -}}
{{- $values := .Values -}}
{{- $many := ne $values.mode "single" -}}
{{- $database := include "review-fetcher.onPostgresql" . -}}
{{- $url := $values.secrets.DATABASE_URL.value -}}
{{- if and $url (not (regexMatch "^postgres(ql)?://" $url)) -}}
{{- fail "secrets.DATABASE_URL.value: must be postgresql://user:password@host:5432/name; for a SQLite file leave it empty in mode single" -}}
{{- end -}}
{{- if and $many (not $database) -}}
{{- fail (printf "mode %s shares one PostgreSQL: set secrets.DATABASE_URL.value, or .existingSecret and .key; mode single needs none" $values.mode) -}}
{{- end -}}
{{- if and $many (not $values.settings.KAFKA_BOOTSTRAP_SERVERS) -}}
{{- fail (printf "mode %s hands work out over Kafka: set settings.KAFKA_BOOTSTRAP_SERVERS to host:port,…; mode single needs none" $values.mode) -}}
{{- end -}}
{{- if and $many $values.settings.MOCK_KAFKA -}}
{{- fail (printf "settings.MOCK_KAFKA: mode %s needs a real Kafka: unset it, or choose mode single" $values.mode) -}}
{{- end -}}
{{- if and (eq $values.mode "roles") $values.settings.MOCK_GOOGLE_API (not $values.settings.GOOGLE_API_BASE_URL) -}}
{{- fail "settings.MOCK_GOOGLE_API: in mode roles each pod would have a simulator of its own: set settings.GOOGLE_API_BASE_URL to one that all share" -}}
{{- end -}}
{{- if eq $values.settings.ENVIRONMENT "production" -}}
{{- if $values.settings.MOCK_GOOGLE_API -}}
{{- fail "settings.MOCK_GOOGLE_API: production does not fetch from the simulator: set it to false, or settings.ENVIRONMENT to development" -}}
{{- end -}}
{{- if $values.settings.MOCK_KAFKA -}}
{{- fail "settings.MOCK_KAFKA: production takes no mock: unset it; mode single needs no Kafka" -}}
{{- end -}}
{{- end -}}
{{- range $variable := list "API_KEYS" "TOKEN_SEALING_KEYS" -}}
{{- if not (include "review-fetcher.originOf" (dict "root" $ "variable" $variable)) -}}
{{- fail (printf "secrets.%s: generateSecrets is false, so it must be given: by .existingSecret and .key, by .value, or by externalSecret.data" $variable) -}}
{{- end -}}
{{- end -}}
{{- range $variable, $given := $values.secrets -}}
{{- if and $given.value $given.existingSecret -}}
{{- fail (printf "secrets.%s: has a value and an existingSecret: keep one of them" $variable) -}}
{{- end -}}
{{- if and (or $given.value $given.existingSecret) $values.externalSecret.enabled (hasKey $values.externalSecret.data $variable) -}}
{{- fail (printf "secrets.%s: is also in externalSecret.data: keep one of them" $variable) -}}
{{- end -}}
{{- end -}}
{{- if $values.externalSecret.enabled -}}
{{- if not (and $values.externalSecret.store.name $values.externalSecret.data) -}}
{{- fail "externalSecret: needs store.name, and in data where each secret setting is: DATABASE_URL: {key: …}" -}}
{{- end -}}
{{- end -}}
{{- include "review-fetcher.checkScaling" . -}}
{{- include "review-fetcher.checkVolume" . -}}
{{- if and $values.maintenance.enabled (include "review-fetcher.keepsFile" .) (not $values.persistence.enabled) -}}
{{- fail "maintenance.enabled: the store is gone with its pod, and that pod would go: set persistence.enabled, or run commands beside the service" -}}
{{- end -}}
{{- if lt (int $values.terminationGracePeriodSeconds) (add $values.preStopSeconds 25 | int) -}}
{{- fail (printf "terminationGracePeriodSeconds: a stop takes up to preStopSeconds and 25 s: at least %d" (add $values.preStopSeconds 25)) -}}
{{- end -}}
{{- if and $values.ingress.enabled (not $values.ingress.hosts) -}}
{{- fail "ingress.hosts: name at least one host" -}}
{{- end -}}
{{- if and $values.metrics.enabled (eq (int $values.metrics.port) 8000) -}}
{{- fail "metrics.port: 8000 is where the pods serve HTTP: choose another" -}}
{{- end -}}
{{- if not $values.metrics.enabled -}}
{{- if or $values.metrics.serviceMonitor.enabled $values.metrics.prometheusRule.enabled $values.keda.enabled -}}
{{- fail "metrics.enabled: serviceMonitor, prometheusRule and keda live on the metrics: set it to true" -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "review-fetcher.checkScaling" -}}
{{- $values := .Values -}}
{{- if and (eq $values.mode "single") (or $values.autoscaling.enabled $values.keda.enabled) -}}
{{- fail "autoscaling, keda: mode single is one pod and cannot grow: choose mode replicas or roles" -}}
{{- end -}}
{{- if and (eq $values.mode "replicas") $values.autoscaling.enabled $values.keda.enabled -}}
{{- fail "autoscaling, keda: in mode replicas both would set the number of the same pods: enable one of them, or choose mode roles" -}}
{{- end -}}
{{- range $name := list "autoscaling" "keda" -}}
{{- $chosen := index $values $name -}}
{{- if gt (int $chosen.minReplicas) (int $chosen.maxReplicas) -}}
{{- fail (printf "%s: minReplicas is above maxReplicas" $name) -}}
{{- end -}}
{{- end -}}
{{- if $values.keda.enabled -}}
{{- if not $values.keda.prometheusAddress -}}
{{- fail "keda.prometheusAddress: name the Prometheus that scrapes this release, like http://prometheus-operated.monitoring.svc:9090" -}}
{{- end -}}
{{- $partitions := default 12 $values.settings.KAFKA_TOPIC_PARTITIONS | int -}}
{{- if gt (int $values.keda.maxReplicas) $partitions -}}
{{- fail (printf "keda.maxReplicas: a partition is read by one pod at a time, so pods beyond settings.KAFKA_TOPIC_PARTITIONS (%d) get no work" $partitions) -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* A claim that is there can grow, and nothing else. The API server would refuse the rest in the middle of an upgrade. */}}
{{- define "review-fetcher.checkVolume" -}}
{{- $claim := include "review-fetcher.claim" . -}}
{{- if and $claim (not .Values.persistence.existingClaim) -}}
{{- with lookup "v1" "PersistentVolumeClaim" .Release.Namespace $claim -}}
{{- $given := $.Values.persistence -}}
{{- $other := "copy the file to a claim of your own and name it in persistence.existingClaim" -}}
{{- if and $given.storageClass (ne $given.storageClass (dig "spec" "storageClassName" "" .)) -}}
{{- fail (printf "persistence.storageClass: the claim %s is there and cannot change its class: leave it, or %s" $claim $other) -}}
{{- end -}}
{{- if ne (join "," $given.accessModes) (join "," .spec.accessModes) -}}
{{- fail (printf "persistence.accessModes: the claim %s is there and cannot change its modes: leave them, or %s" $claim $other) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}
