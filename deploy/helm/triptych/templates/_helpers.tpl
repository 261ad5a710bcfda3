{{- define "triptych.name" -}}
{{- if eq .Release.Name .Chart.Name -}}{{ .Chart.Name }}{{- else -}}{{ printf "%s-triptych" .Release.Name | trunc 40 | trimSuffix "-" }}{{- end -}}
{{- end }}

{{- define "triptych.image" -}}
{{- if .Values.image.digest -}}
{{ .Values.image.repository }}@{{ .Values.image.digest }}
{{- else -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end -}}
{{- end }}

{{- /* Takes (dict "root" $ "role" "api"). */ -}}
{{- define "triptych.selector" -}}
app.kubernetes.io/name: triptych
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .role }}
{{- end }}

{{- define "triptych.labels" -}}
{{ include "triptych.selector" . }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version }}
{{- end }}

{{- define "triptych.secretEnv" -}}
- name: {{ .name }}
  valueFrom:
    secretKeyRef: { name: {{ .secret | quote }}, key: {{ .key | quote }} }
{{- end }}

{{- define "triptych.env" -}}
{{ include "triptych.secretEnv" (dict "name" "TRIPTYCH_DATABASE_URL" "secret" .Values.database.existingSecret "key" .Values.database.key) }}
{{ include "triptych.secretEnv" (dict "name" "TRIPTYCH_SEALING_KEY" "secret" .Values.sealing.existingSecret "key" .Values.sealing.key) }}
- { name: TRIPTYCH_DATABASE_CONNECTIONS, value: {{ .Values.database.connections | quote }} }
- { name: TRIPTYCH_QUEUE_URL, value: {{ include "triptych.queueUrl" . | quote }} }
- { name: TRIPTYCH_STORE_URL, value: {{ .Values.store.url | quote }} }
- { name: TRIPTYCH_DRAIN_S, value: {{ .Values.drainSeconds | quote }} }
{{- with .Values.store.endpoint }}
- { name: AWS_ENDPOINT_URL_S3, value: {{ . | quote }} }
{{- end }}
{{- if .Values.store.allowHttp }}
- { name: AWS_ALLOW_HTTP, value: "true" }
{{- end }}
{{- with .Values.aws.region }}
- { name: AWS_REGION, value: {{ . | quote }} }
{{- end }}
{{- if .Values.aws.existingSecret }}
{{ include "triptych.secretEnv" (dict "name" "AWS_ACCESS_KEY_ID" "secret" .Values.aws.existingSecret "key" .Values.aws.accessKeyIdKey) }}
{{ include "triptych.secretEnv" (dict "name" "AWS_SECRET_ACCESS_KEY" "secret" .Values.aws.existingSecret "key" .Values.aws.secretAccessKeyKey) }}
{{- end }}
{{- range $name, $value := .Values.settings }}
- { name: {{ printf "TRIPTYCH_%s" (upper $name) }}, value: {{ $value | toString | quote }} }
{{- end }}
{{- range $name, $from := .Values.secretSettings }}
{{ include "triptych.secretEnv" (dict "name" (printf "TRIPTYCH_%s" (upper $name)) "secret" $from.name "key" $from.key) }}
{{- end }}
{{- end }}

{{- /* Whether a role reads from MongoDB or writes to it. Takes (dict "root" $ "role" "api"). */ -}}
{{- define "triptych.usesReads" -}}
{{- if and .root.Values.reads.existingSecret (or (eq .role "api") (hasPrefix "worker-" .role)) -}}true{{- end -}}
{{- end }}

{{- /* The secrets with files that such a role is given, by the settings that name the files. */ -}}
{{- define "triptych.readsFiles" -}}
{{- $files := dict }}
{{- if include "triptych.usesReads" . }}
{{- with .root.Values.reads.caSecret }}{{ $_ := set $files "ca" (dict "secret" . "key" $.root.Values.reads.caKey) }}{{ end }}
{{- with .root.Values.reads.certificateSecret }}{{ $_ := set $files "certificate" (dict "secret" . "key" $.root.Values.reads.certificateKey) }}{{ end }}
{{- end }}
{{- toJson $files -}}
{{- end }}

{{- define "triptych.readsEnv" -}}
{{- if include "triptych.usesReads" . }}
{{- $reads := .root.Values.reads }}
{{ include "triptych.secretEnv" (dict "name" "TRIPTYCH_READS_URL" "secret" $reads.existingSecret "key" $reads.key) }}
{{- if $reads.userSecret }}
{{ include "triptych.secretEnv" (dict "name" "TRIPTYCH_READS_USER" "secret" $reads.userSecret "key" $reads.userKey) }}
{{ include "triptych.secretEnv" (dict "name" "TRIPTYCH_READS_PASSWORD" "secret" $reads.userSecret "key" $reads.passwordKey) }}
{{- end }}
{{- range $name, $file := fromJson (include "triptych.readsFiles" .) }}
- { name: {{ printf "TRIPTYCH_READS_%s" (upper $name) }}, value: {{ printf "/etc/triptych/reads-%s/%s" $name $file.key | quote }} }
{{- end }}
{{- end }}
{{- end }}

{{- define "triptych.queueUrl" -}}
{{- if eq .Values.queue.type "sqs" -}}sqs://{{ .Values.queue.sqs.region }}/{{ .Values.queue.sqs.prefix }}{{- else -}}pgmq:{{- end -}}
{{- end }}

{{- /* What is the same for all pods. Takes (dict "root" $ "role" "api" "grace" 115). */ -}}
{{- define "triptych.pod" -}}
serviceAccountName: {{ include "triptych.name" .root }}-{{ .role }}
# No process talks to Kubernetes.
automountServiceAccountToken: false
# Else a Service's name gives variables such as TRIPTYCH_API_PORT=tcp://…, which are settings' names.
enableServiceLinks: false
terminationGracePeriodSeconds: {{ .grace }}
securityContext:
  runAsNonRoot: true
  runAsUser: 10001
  runAsGroup: 10001
  fsGroup: 10001
  seccompProfile: { type: RuntimeDefault }
{{- with .root.Values.imagePullSecrets }}
imagePullSecrets: {{ toYaml . | nindent 2 }}
{{- end }}
{{- with .root.Values.nodeSelector }}
nodeSelector: {{ toYaml . | nindent 2 }}
{{- end }}
{{- with .root.Values.tolerations }}
tolerations: {{ toYaml . | nindent 2 }}
{{- end }}
volumes:
  - name: tmp
    emptyDir: { sizeLimit: {{ .root.Values.tmpSize }} }
{{- range $name, $file := fromJson (include "triptych.readsFiles" .) }}
  - name: reads-{{ $name }}
    # fsGroup lets the process read it, and nobody else.
    secret: { secretName: {{ $file.secret | quote }}, defaultMode: 0440, items: [{ key: {{ $file.key | quote }}, path: {{ $file.key | quote }} }] }
{{- end }}
{{- end }}

{{- /* What is the same for all containers. Takes (dict "root" $ "role" "api"). */ -}}
{{- define "triptych.container" -}}
image: {{ include "triptych.image" .root }}
imagePullPolicy: {{ .root.Values.image.pullPolicy }}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities: { drop: [ALL] }
volumeMounts:
  - { name: tmp, mountPath: /tmp }
{{- range $name, $file := fromJson (include "triptych.readsFiles" .) }}
  - { name: reads-{{ $name }}, mountPath: /etc/triptych/reads-{{ $name }}, readOnly: true }
{{- end }}
{{- end }}
